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
  def line(notes), do: "#{length(notes)} notes: " <> Enum.join(notes, ", ")
end

defimpl Notes.Render, for: Any do
  def line(value), do: to_string(value)
end
