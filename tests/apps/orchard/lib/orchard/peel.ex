# SPDX-License-Identifier: Apache-2.0
defprotocol Orchard.Peel do
  @moduledoc "A protocol whose implementations change."
  @fallback_to_any true
  def peel(fruit)
end

defmodule Orchard.Apple do
  @moduledoc false
  defstruct worms: 0
end

defimpl Orchard.Peel, for: Integer do
  def peel(n), do: {1, n}
end

defimpl Orchard.Peel, for: Orchard.Apple do
  def peel(apple), do: {1, apple.worms}
end

defimpl Orchard.Peel, for: Atom do
  def peel(name), do: {:atom, name}
end

defimpl Orchard.Peel, for: Any do
  def peel(_), do: :unknown
end
