"""Alerts: conditions over time, silences, who is told of what and when, and in which form.

Pure: the console looks, keeps and sends.
"""
