# SPDX-License-Identifier: Apache-2.0
defmodule Orchard.Bee do
  @moduledoc "A server without a code_change/3 of its own: its state stays."
  use GenServer

  def start_link(name), do: GenServer.start_link(__MODULE__, 0, name: name)
  def fly(bee), do: GenServer.call(bee, :fly)

  @impl true
  def init(n), do: {:ok, n}

  @impl true
  def handle_call(:fly, _from, n), do: {:reply, {:fast, n + 1}, n + 1}
end

defmodule Orchard.Counter do
  @moduledoc "A server under a PartitionSupervisor, or in a Registry."
  use GenServer

  def start_link(options), do: GenServer.start_link(__MODULE__, 0, options)
  def count(counter), do: GenServer.call(counter, :count)

  def partitions do
    for n <- 0..2, do: count({:via, PartitionSupervisor, {Orchard.Counters, n}})
  end

  @impl true
  def init(n), do: {:ok, %{count: n}}

  @impl true
  def handle_call(:count, _from, %{count: n}), do: {:reply, {:count, n + 1}, %{count: n + 1}}

  @impl true
  def code_change({:down, _}, %{count: n}, []), do: {:ok, n}
  def code_change(_vsn, n, []) when is_integer(n), do: {:ok, %{count: n}}
end

defmodule Orchard.Basket do
  @moduledoc "An agent."
  use Agent

  def start_link(_), do: Agent.start_link(fn -> [:pear] end, name: __MODULE__)
  def look, do: Agent.get(__MODULE__, fn fruits -> {:counted, length(fruits), fruits} end)
  def put(fruit), do: Agent.update(__MODULE__, fn fruits -> [fruit | fruits] end)

  @doc "A child whose function stays in its supervisor."
  def spare do
    child = Supervisor.child_spec({Agent, fn -> :spare end}, restart: :permanent)
    {:ok, pid} = DynamicSupervisor.start_child(Orchard.Swarm, child)
    Process.register(pid, :spare)
  end
end

defmodule Orchard.Errand do
  @moduledoc "What tasks do."

  def short do
    if Process.whereis(:"relsup.hot") do
      Process.sleep(200)
      2
    else
      Process.sleep(1)
      short()
    end
  end

  def long do
    receive do
      :stop -> 2
    end
  end
end
