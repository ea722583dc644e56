# SPDX-License-Identifier: Apache-2.0
defmodule Orchard.Application do
  @moduledoc "Every kind of process that an Elixir application has, below a supervisor made of a list."
  use Application

  @impl true
  def start(_type, _args) do
    result = Supervisor.start_link(children(), strategy: :one_for_one, name: Orchard.Supervisor)
    :ok = :gen_event.add_handler(Orchard.News, Orchard.Reader, 0)
    :ok = :gen_event.add_handler(Orchard.News, {Orchard.Reader, :second}, 0)
    {:ok, _} = DynamicSupervisor.start_child(Orchard.Hives, {Orchard.Bee, :maya})
    {:ok, _} = DynamicSupervisor.start_child(Orchard.Swarm, {Orchard.Bee, :willi})
    {:ok, _} = DynamicSupervisor.start_child(Orchard.Swarm, {Orchard.Room, :lobby})
    {:ok, _} = DynamicSupervisor.start_child(Orchard.Swarm, {Orchard.Live, {Orchard.View, :page}})
    {:ok, _} = DynamicSupervisor.start_child(Orchard.Swarm, Orchard.Socket)
    {:ok, _} = Orchard.Stage.start(Orchard.Stray, Orchard.Stray)
    {:ok, _} = Orchard.Hum.start(Orchard.Drone, :drone)
    result
  end

  @impl true
  def config_change(changed, new, removed) do
    :persistent_term.put(Orchard.Config, {Enum.sort(changed), new, removed})
  end

  # The new child is not started by a hot upgrade: start/2 runs once.
  defp children do
    [
      {Orchard.Bee, Orchard.Late},
      {Registry, keys: :unique, name: Orchard.Names},
      {PartitionSupervisor, child_spec: Orchard.Counter, name: Orchard.Counters, partitions: 3},
      {Orchard.Counter, name: {:via, Registry, {Orchard.Names, "gate"}}},
      Orchard.Yard,
      Orchard.Shed,
      Orchard.Hives,
      {DynamicSupervisor, name: Orchard.Swarm, strategy: :one_for_one},
      {Task.Supervisor, name: Orchard.Errands},
      Orchard.Basket,
      Orchard.Gate,
      Orchard.Fence,
      Orchard.Lock,
      %{id: Orchard.News, start: {:gen_event, :start_link, [{:local, Orchard.News}]}},
      Orchard.Picker
    ]
  end
end
