# SPDX-License-Identifier: Apache-2.0
import Config

config :orchard, taste: System.get_env("TASTE", "of the environment"), owner: "of the environment"
