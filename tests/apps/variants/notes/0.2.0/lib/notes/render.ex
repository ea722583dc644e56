# SPDX-License-Identifier: Apache-2.0
defprotocol Notes.Render do
  @moduledoc "How a value is shown on a page."
  @fallback_to_any true
  def line(value)
end

defimpl Notes.Render, for: Integer do
  def line(n), do: "#{n}"
end

defimpl Notes.Render, for: List do
  def line(notes), do: Enum.map_join(notes, ", ", &"<#{&1}>") <> " (#{length(notes)})"
end

defimpl Notes.Render, for: Map do
  def line(map), do: Enum.map_join(map, ", ", fn {key, value} -> "#{key}: #{value}" end)
end

defimpl Notes.Render, for: Any do
  def line(value), do: to_string(value)
end
