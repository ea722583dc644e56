# SPDX-License-Identifier: Apache-2.0
# Behaviours as libraries make them, on top of a GenServer. They are the same in every version, and the callback
# module of their processes is never the one that a process says it was started with.
defmodule Orchard.Stage do
  @moduledoc "As GenStage: `$initial_call` names the library, the child specification names the callback module."
  use GenServer

  @callback init(term) :: {:ok, term}
  @callback look(term) :: term

  defmacro __using__(_) do
    quote do
      @behaviour Orchard.Stage
      def child_spec(arg), do: %{id: __MODULE__, start: {__MODULE__, :start_link, [arg]}}
      def start_link(_), do: Orchard.Stage.start_link(__MODULE__, __MODULE__)
      def look, do: GenServer.call(__MODULE__, :look)
    end
  end

  def start_link(module, name), do: GenServer.start_link(__MODULE__, module, name: name)
  def start(module, name), do: GenServer.start(__MODULE__, module, name: name)

  @impl true
  def init(module) do
    {:ok, state} = module.init([])
    {:ok, {module, state}}
  end

  @impl true
  def handle_call(:look, _from, {module, state}) do
    {:reply, module.look(state), {module, state}}
  end

  @impl true
  def code_change(vsn, {module, state}, extra) do
    {:ok, state} = module.code_change(vsn, state, extra)
    {:ok, {module, state}}
  end
end

defmodule Orchard.Hum do
  @moduledoc "The same for a process without a supervisor and, as far as others know, without a name."
  use GenServer

  @callback look(term) :: term

  def start(module, key) do
    with {:ok, pid} <- GenServer.start(__MODULE__, {module, 0}) do
      :persistent_term.put({__MODULE__, key}, pid)
      {:ok, pid}
    end
  end

  def look(key), do: GenServer.call(:persistent_term.get({__MODULE__, key}), :look)

  @impl true
  def init({module, state}), do: {:ok, {module, state}}

  @impl true
  def handle_call(:look, _from, {module, state}) do
    {:reply, module.look(state), {module, state}}
  end

  @impl true
  def code_change(vsn, {module, state}, extra) do
    {:ok, state} = module.code_change(vsn, state, extra)
    {:ok, {module, state}}
  end
end

defmodule Orchard.Channel do
  @moduledoc "As Phoenix.Channel: `$initial_call` is made to be the callback module's join/3."
  use GenServer

  def start_link(module, name), do: GenServer.start_link(__MODULE__, module, name: name)

  @impl true
  def init(module) do
    send(self(), {:join, module})
    {:ok, nil}
  end

  @impl true
  def handle_info({:join, module}, nil) do
    Process.put(:"$initial_call", {module, :join, 3})
    {:ok, state} = module.join("topic", %{}, nil)
    {:noreply, {module, state}}
  end

  @impl true
  def handle_call(:look, _from, {module, state}) do
    {:reply, module.look(state), {module, state}}
  end

  @impl true
  def code_change(vsn, {module, state}, extra) do
    {:ok, state} = module.code_change(vsn, state, extra)
    {:ok, {module, state}}
  end
end

defmodule Orchard.Live do
  @moduledoc "As Phoenix.LiveView: besides that, the child specification names the library."
  use GenServer, restart: :temporary

  def start_link({module, name}), do: GenServer.start_link(__MODULE__, module, name: name)

  @impl true
  def init(module) do
    Process.put(:"$initial_call", {module, :mount, 3})
    {:ok, state} = module.mount(%{}, %{}, nil)
    {:ok, {module, state}}
  end

  @impl true
  def handle_call(:look, _from, {module, state}) do
    {:reply, module.look(state), {module, state}}
  end

  @impl true
  def code_change(vsn, {module, state}, extra) do
    {:ok, state} = module.code_change(vsn, state, extra)
    {:ok, {module, state}}
  end
end
