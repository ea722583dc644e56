# SPDX-License-Identifier: Apache-2.0
import Config

config :notes,
  port: String.to_integer(System.get_env("PORT", "8080")),
  database: System.fetch_env!("DATABASE_PATH")
