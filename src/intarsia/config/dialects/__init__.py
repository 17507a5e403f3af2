"""Translations of other vocabularies of config files into the house one."""
