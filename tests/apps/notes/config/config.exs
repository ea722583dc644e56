# SPDX-License-Identifier: Apache-2.0
import Config

config :notes, greeting: "built in #{config_env()}"
config :logger, :console, format: "$time [$level] $message\n"
