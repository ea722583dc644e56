# SPDX-License-Identifier: Apache-2.0
defmodule Orchard.Yard do
  @moduledoc "A supervisor with a module of its own, whose children change in 0.2.0."
  use Supervisor

  def start_link(_), do: Supervisor.start_link(__MODULE__, [], name: __MODULE__)

  def children,
    do: for({id, pid, _, _} <- Supervisor.which_children(__MODULE__), is_pid(pid), do: id)

  @impl true
  def init([]) do
    Supervisor.init([agent(:old), Orchard.Tree, agent(:kept)], strategy: :rest_for_one)
  end

  defp agent(id), do: Supervisor.child_spec({Agent, fn -> id end}, id: id)
end

defmodule Orchard.Shed do
  @moduledoc "A supervisor whose init/1 cannot run twice, because it makes a named table."
  use Supervisor

  def start_link(_), do: Supervisor.start_link(__MODULE__, [], name: __MODULE__)

  @impl true
  def init([]) do
    __MODULE__ = :ets.new(__MODULE__, [:named_table, :public])
    Supervisor.init([{Orchard.Counter, name: Orchard.Shed.Counter}], strategy: :one_for_one)
  end
end

defmodule Orchard.Hives do
  @moduledoc "A dynamic supervisor with a module of its own."
  use DynamicSupervisor

  def start_link(_), do: DynamicSupervisor.start_link(__MODULE__, [], name: __MODULE__)

  def start_bee(name) do
    case DynamicSupervisor.start_child(__MODULE__, {Orchard.Bee, name}) do
      {:ok, _} -> :ok
      {:error, why} -> why
    end
  end

  @impl true
  def init([]), do: DynamicSupervisor.init(strategy: :one_for_one, max_children: 1)
end
