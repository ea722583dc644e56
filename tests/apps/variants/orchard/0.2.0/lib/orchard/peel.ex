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

defmodule Orchard.Pear do
  @moduledoc false
  defstruct juice: 5
end

defimpl Orchard.Peel, for: Integer do
  def peel(n), do: {2, n}
end

defimpl Orchard.Peel, for: Orchard.Apple do
  def peel(apple), do: {2, apple.worms}
end

defimpl Orchard.Peel, for: Orchard.Pear do
  def peel(pear), do: {:juice, pear.juice}
end

defimpl String.Chars, for: Orchard.Pear do
  def to_string(pear), do: "a pear with #{pear.juice} ml"
end

defimpl Orchard.Peel, for: Any do
  def peel(_), do: :unknown
end
