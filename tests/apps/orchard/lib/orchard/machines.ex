# SPDX-License-Identifier: Apache-2.0
defmodule Orchard.Gate do
  @moduledoc "A gen_statem whose states are functions, here and in 0.2.0."
  @behaviour :gen_statem

  def child_spec(_), do: %{id: __MODULE__, start: {__MODULE__, :start_link, []}}
  def start_link, do: :gen_statem.start_link({:local, __MODULE__}, __MODULE__, [], [])
  def push, do: :gen_statem.call(__MODULE__, :push)

  @impl true
  def callback_mode, do: :state_functions
  @impl true
  def init([]), do: {:ok, :closed, 0}

  def closed({:call, from}, :push, n) when is_integer(n) do
    {:next_state, :open, n + 1, {:reply, from, {:opened, n + 1}}}
  end

  def open({:call, from}, :push, n) when is_integer(n) do
    {:next_state, :closed, n + 1, {:reply, from, {:closed, n + 1}}}
  end

  @impl true
  def code_change(_vsn, state, data, _extra), do: {:ok, state, data}
end

defmodule Orchard.Fence do
  @moduledoc "A gen_statem with handle_event/4, here and in 0.2.0."
  @behaviour :gen_statem

  def child_spec(_), do: %{id: __MODULE__, start: {__MODULE__, :start_link, []}}
  def start_link, do: :gen_statem.start_link({:local, __MODULE__}, __MODULE__, [], [])
  def paint(color), do: :gen_statem.call(__MODULE__, {:paint, color})

  @impl true
  def callback_mode, do: :handle_event_function
  @impl true
  def init([]), do: {:ok, 0, 0}

  @impl true
  def handle_event({:call, from}, {:paint, color}, old, n) when is_integer(n) do
    {:next_state, color, n + 1, {:reply, from, {old, color, n + 1}}}
  end
end

defmodule Orchard.Lock do
  @moduledoc "A gen_statem that changes from state functions to handle_event/4 in 0.2.0."
  @behaviour :gen_statem

  def child_spec(_), do: %{id: __MODULE__, start: {__MODULE__, :start_link, []}}
  def start_link, do: :gen_statem.start_link({:local, __MODULE__}, __MODULE__, [], [])
  def turn, do: :gen_statem.call(__MODULE__, :turn)

  @impl true
  def callback_mode, do: :state_functions
  @impl true
  def init([]), do: {:ok, :locked, 0}

  def locked({:call, from}, :turn, n) do
    {:keep_state, n + 1, {:reply, from, {:by_function, n + 1}}}
  end

  @impl true
  def code_change(_vsn, state, data, _extra), do: {:ok, state, data}
end

defmodule Orchard.Reader do
  @moduledoc "A handler of a gen_event."
  @behaviour :gen_event

  def read do
    :gen_event.sync_notify(Orchard.News, :news)
    for id <- [__MODULE__, {__MODULE__, :second}], do: :gen_event.call(Orchard.News, id, :look)
  end

  @impl true
  def init(n), do: {:ok, n}
  @impl true
  def handle_event(:news, n) when is_integer(n), do: {:ok, n + 1}
  @impl true
  def handle_call(:look, n) when is_integer(n), do: {:ok, n, n}
end
