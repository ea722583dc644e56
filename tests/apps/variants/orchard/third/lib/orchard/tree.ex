# SPDX-License-Identifier: Apache-2.0
defmodule Orchard.Tree do
  @moduledoc "A server with a version of its own and a code_change/3."
  use GenServer
  @vsn "tree 3"

  def start_link(_), do: GenServer.start_link(__MODULE__, 0, name: __MODULE__)
  def grow, do: GenServer.call(__MODULE__, :grow)

  @impl true
  def init(n), do: {:ok, {:forest, n, :init}}

  @impl true
  def handle_call(:grow, _from, {:forest, n, from}) do
    {:reply, {:forest, n + 1, from}, {:forest, n + 1, from}}
  end

  @impl true
  def code_change({:down, "tree 2"}, {:forest, n, _}, []) do
    {:ok, %{apples: n, from: {:down, "tree 2"}}}
  end

  def code_change({:down, "tree 1"}, {:forest, n, _}, []), do: {:ok, n}
  def code_change("tree 2" = vsn, %{apples: n}, []), do: {:ok, {:forest, n, vsn}}
end
