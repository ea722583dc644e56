# SPDX-License-Identifier: Apache-2.0
defmodule Orchard.Tree do
  @moduledoc "A server with a version of its own and a code_change/3."
  use GenServer
  @vsn "tree 1"

  def start_link(_), do: GenServer.start_link(__MODULE__, 0, name: __MODULE__)
  def grow, do: GenServer.call(__MODULE__, :grow)

  @impl true
  def init(n), do: {:ok, n}

  @impl true
  def handle_call(:grow, _from, n) when is_integer(n), do: {:reply, n + 1, n + 1}
end
