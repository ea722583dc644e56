# SPDX-License-Identifier: Apache-2.0
defmodule Notes.Release do
  @moduledoc "What an operator runs with `eval`, and the one way to the database file."

  def migrate do
    with_database(fn db ->
      run(
        db,
        "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE)"
      )

      run(db, "INSERT OR IGNORE INTO notes (title) VALUES ('first'), ('second')")

      if schema_version(db) < 2,
        do: run(db, "ALTER TABLE notes ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0")

      run(db, "PRAGMA user_version = 2")
      IO.puts("notes: the schema is at version 2")
    end)
  end

  def titles do
    with_database(fn db ->
      case :sqlite3.sql_exec(db, "SELECT title FROM notes ORDER BY id") do
        [columns: _, rows: rows] -> for {title} <- rows, do: title
        _no_table_yet -> []
      end
    end)
  end

  defp with_database(work) do
    {:ok, db} = :sqlite3.open(:anonymous, file: String.to_charlist(path()))

    try do
      work.(db)
    after
      :sqlite3.close(db)
    end
  end

  # `eval` runs in a VM in which the application is not loaded, but its configuration is read.
  defp path do
    Application.load(:notes)
    Application.fetch_env!(:notes, :database)
  end

  defp schema_version(db) do
    [columns: _, rows: [{version}]] = :sqlite3.sql_exec(db, "PRAGMA user_version")
    version
  end

  defp run(db, sql) do
    case :sqlite3.sql_exec(db, sql) do
      {:error, code, reason} -> raise "#{sql}: #{reason} (#{code})"
      _done -> :ok
    end
  end
end
