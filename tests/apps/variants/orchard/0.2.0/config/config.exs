# SPDX-License-Identifier: Apache-2.0
import Config

config :orchard, rows: 2, taste: "of the newer file", added: true
