# SPDX-License-Identifier: Apache-2.0
import Config

config :orchard, rows: 1, taste: "of the file", gone: true
