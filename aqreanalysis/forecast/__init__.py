"""The long forecast: its network, its training, its protocol and report; no other room imports it."""
