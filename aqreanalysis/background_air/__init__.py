"""Readings of kerbs, works and cheap sensors, made what a background station would have read there.

One seam: `groups.background_only` for whatever learns of background air, `learning.learn_visible_groups` once the
scalings are known, and `record.as_background` on a record before its readings reach a network. A record that tells no
kind and no cheap network passes all three as it is.

Why training sees background stations alone: an equivalent of background air is made with the help of the stations round
it, and one that was made with the help of a station that a step hides would tell the network what it is asked.
"""
