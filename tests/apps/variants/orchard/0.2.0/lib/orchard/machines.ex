# SPDX-License-Identifier: Apache-2.0
defmodule Orchard.Gate do
  @moduledoc "A gen_statem whose states are functions, here and in 0.1.0."
  @behaviour :gen_statem

  def child_spec(_), do: %{id: __MODULE__, start: {__MODULE__, :start_link, []}}
  def start_link, do: :gen_statem.start_link({:local, __MODULE__}, __MODULE__, [], [])
  def push, do: :gen_statem.call(__MODULE__, :push)

  @impl true
  def callback_mode, do: :state_functions
  @impl true
  def init([]), do: {:ok, :closed, %{pushed: 0}}

  def closed({:call, from}, :push, %{pushed: n}) do
    {:next_state, :open, %{pushed: n + 1}, {:reply, from, {:opened, :times, n + 1}}}
  end

  def open({:call, from}, :push, %{pushed: n}) do
    {:next_state, :closed, %{pushed: n + 1}, {:reply, from, {:closed, :times, n + 1}}}
  end

  @impl true
  def code_change({:down, _}, state, %{pushed: n}, []), do: {:ok, state, n}
  def code_change(_vsn, state, n, []) when is_integer(n), do: {:ok, state, %{pushed: n}}
end

defmodule Orchard.Fence do
  @moduledoc "A gen_statem with handle_event/4, here and in 0.1.0."
  @behaviour :gen_statem

  def child_spec(_), do: %{id: __MODULE__, start: {__MODULE__, :start_link, []}}
  def start_link, do: :gen_statem.start_link({:local, __MODULE__}, __MODULE__, [], [])
  def paint(color), do: :gen_statem.call(__MODULE__, {:paint, color})

  @impl true
  def callback_mode, do: :handle_event_function
  @impl true
  def init([]), do: {:ok, 0, {:coats, 0}}

  @impl true
  def handle_event({:call, from}, {:paint, color}, old, {:coats, n}) do
    {:next_state, color, {:coats, n + 1}, {:reply, from, {old, color, :coats, n + 1}}}
  end

  @impl true
  def code_change({:down, _}, state, {:coats, n}, []), do: {:ok, state, n}
  def code_change(_vsn, state, n, []) when is_integer(n), do: {:ok, state, {:coats, n}}
end

defmodule Orchard.Lock do
  @moduledoc "A gen_statem that had state functions in 0.1.0."
  @behaviour :gen_statem

  def child_spec(_), do: %{id: __MODULE__, start: {__MODULE__, :start_link, []}}
  def start_link, do: :gen_statem.start_link({:local, __MODULE__}, __MODULE__, [], [])
  def turn, do: :gen_statem.call(__MODULE__, :turn)

  @impl true
  def callback_mode, do: :handle_event_function
  @impl true
  def init([]), do: {:ok, :locked, 0}

  @impl true
  def handle_event({:call, from}, :turn, :locked, n) do
    {:keep_state, n + 1, {:reply, from, {:by_event, n + 1}}}
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
  def init(n), do: {:ok, {:read, n}}
  @impl true
  def handle_event(:news, {:read, n}), do: {:ok, {:read, n + 1}}
  @impl true
  def handle_call(:look, {:read, n} = state), do: {:ok, state, state}

  @impl true
  def code_change({:down, _}, {:read, n}, []), do: {:ok, n}
  def code_change(_vsn, n, []) when is_integer(n), do: {:ok, {:read, n}}
end
