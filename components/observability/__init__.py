"""Observability: the topic of all alerts, alarms, events and the dashboard.

It may import the other components.
"""

from components.observability.observability import Observability
from components.observability.topic import AlertsSettings

__all__ = ["AlertsSettings", "Observability"]
