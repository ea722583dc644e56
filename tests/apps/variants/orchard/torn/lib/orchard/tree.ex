# SPDX-License-Identifier: Apache-2.0
defmodule Orchard.Tree do
  @moduledoc "It does not take its old state over."
  use GenServer
  @vsn "torn tree"

  def start_link(_), do: GenServer.start_link(__MODULE__, 0, name: __MODULE__)

  @impl true
  def init(n), do: {:ok, n}

  @impl true
  def code_change(_vsn, _state, _extra), do: raise("this tree is torn")
end
