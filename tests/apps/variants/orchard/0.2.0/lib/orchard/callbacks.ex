# SPDX-License-Identifier: Apache-2.0
# The callback modules of the libraries: {2, ...} here, {1, ...} in 0.1.0.
defmodule Orchard.Picker do
  @moduledoc false
  use Orchard.Stage

  @impl true
  def init([]), do: {:ok, {2, :picker}}
  @impl true
  def look({2, _} = state), do: state
  def code_change({:down, _}, {2, state}, []), do: {:ok, {1, state}}
  def code_change(_vsn, {1, state}, []), do: {:ok, {2, state}}
end

defmodule Orchard.Stray do
  @moduledoc false
  use Orchard.Stage

  @impl true
  def init([]), do: {:ok, {2, :stray}}
  @impl true
  def look({2, _} = state), do: state
  def code_change({:down, _}, {2, state}, []), do: {:ok, {1, state}}
  def code_change(_vsn, {1, state}, []), do: {:ok, {2, state}}
end

defmodule Orchard.Drone do
  @moduledoc false
  @behaviour Orchard.Hum

  @impl true
  def look({2, n}), do: {2, n}
  def code_change({:down, _}, {2, :drone}, []), do: {:ok, 0}
  def code_change(_vsn, 0, []), do: {:ok, {2, :drone}}
end

defmodule Orchard.Room do
  @moduledoc false
  def child_spec(name) do
    %{id: __MODULE__, start: {__MODULE__, :start_link, [name]}, restart: :temporary}
  end

  def start_link(name), do: Orchard.Channel.start_link(__MODULE__, name)
  def join(_topic, _params, _socket), do: {:ok, {2, :room}}
  def look({2, _} = state), do: state
  def code_change({:down, _}, {2, state}, []), do: {:ok, {1, state}}
  def code_change(_vsn, {1, state}, []), do: {:ok, {2, state}}
end

defmodule Orchard.View do
  @moduledoc false
  def mount(_params, _session, _socket), do: {:ok, {2, :view}}
  def look({2, _} = state), do: state
  def code_change({:down, _}, {2, state}, []), do: {:ok, {1, state}}
  def code_change(_vsn, {1, state}, []), do: {:ok, {2, state}}
end

defmodule Orchard.Socket do
  @moduledoc "A process that became a GenServer by enter_loop/3."
  use GenServer, restart: :temporary

  def start_link(_), do: :proc_lib.start_link(__MODULE__, :enter, [__MODULE__])
  def look, do: GenServer.call(__MODULE__, :look)

  def enter(name) do
    Process.register(self(), name)
    :proc_lib.init_ack({:ok, self()})
    :gen_server.enter_loop(__MODULE__, [], {2, :socket}, {:local, name})
  end

  @impl true
  def init(_), do: {:stop, :not_started_this_way}

  @impl true
  def handle_call(:look, _from, {2, _} = state), do: {:reply, state, state}

  @impl true
  def code_change({:down, _}, {2, state}, []), do: {:ok, {1, state}}
  def code_change(_vsn, {1, state}, []), do: {:ok, {2, state}}
end
