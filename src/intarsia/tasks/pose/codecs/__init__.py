"""Codecs: joints to targets of a network, outputs to joints."""
