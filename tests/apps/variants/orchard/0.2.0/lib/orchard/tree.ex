# SPDX-License-Identifier: Apache-2.0
defmodule Orchard.Tree do
  @moduledoc "A server with a version of its own and a code_change/3."
  use GenServer
  @vsn "tree 2"

  def start_link(_), do: GenServer.start_link(__MODULE__, 0, name: __MODULE__)
  def grow, do: GenServer.call(__MODULE__, :grow)

  @impl true
  def init(n), do: {:ok, %{apples: n, from: :init}}

  @impl true
  def handle_call(:grow, _from, %{apples: n, from: from} = state) do
    {:reply, {n + 1, from}, %{state | apples: n + 1}}
  end

  @impl true
  def code_change("tree 1" = vsn, n, []) when is_integer(n), do: {:ok, %{apples: n, from: vsn}}
  def code_change({:down, "tree 1"}, %{apples: n}, []), do: {:ok, n}
end
