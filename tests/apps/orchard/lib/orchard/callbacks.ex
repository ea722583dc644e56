# SPDX-License-Identifier: Apache-2.0
# The callback modules of the libraries: {1, ...} here, {2, ...} in 0.2.0.
defmodule Orchard.Picker do
  @moduledoc false
  use Orchard.Stage

  @impl true
  def init([]), do: {:ok, {1, :picker}}
  @impl true
  def look({1, _} = state), do: state
  def code_change(_vsn, state, _extra), do: {:ok, state}
end

defmodule Orchard.Stray do
  @moduledoc false
  use Orchard.Stage

  @impl true
  def init([]), do: {:ok, {1, :stray}}
  @impl true
  def look({1, _} = state), do: state
  def code_change(_vsn, state, _extra), do: {:ok, state}
end

defmodule Orchard.Drone do
  @moduledoc false
  @behaviour Orchard.Hum

  @impl true
  def look(0), do: {1, :drone}
  def code_change(_vsn, state, _extra), do: {:ok, state}
end

defmodule Orchard.Room do
  @moduledoc false
  def child_spec(name) do
    %{id: __MODULE__, start: {__MODULE__, :start_link, [name]}, restart: :temporary}
  end

  def start_link(name), do: Orchard.Channel.start_link(__MODULE__, name)
  def join(_topic, _params, _socket), do: {:ok, {1, :room}}
  def look({1, _} = state), do: state
  def code_change(_vsn, state, _extra), do: {:ok, state}
end

defmodule Orchard.View do
  @moduledoc false
  def mount(_params, _session, _socket), do: {:ok, {1, :view}}
  def look({1, _} = state), do: state
  def code_change(_vsn, state, _extra), do: {:ok, state}
end

defmodule Orchard.Socket do
  @moduledoc "A process that became a GenServer by enter_loop/3."
  use GenServer, restart: :temporary

  def start_link(_), do: :proc_lib.start_link(__MODULE__, :enter, [__MODULE__])
  def look, do: GenServer.call(__MODULE__, :look)

  def enter(name) do
    Process.register(self(), name)
    :proc_lib.init_ack({:ok, self()})
    :gen_server.enter_loop(__MODULE__, [], {1, :socket}, {:local, name})
  end

  @impl true
  def init(_), do: {:stop, :not_started_this_way}

  @impl true
  def handle_call(:look, _from, {1, _} = state), do: {:reply, state, state}
end
