"""What can be measured, by name. Each measure is a question: it reads, and returns what it found."""

from aims.compliance.measures import fleet, house, log
from aims.compliance.measures.table import MEASURES, Measure, measure

__all__ = ["MEASURES", "Measure", "fleet", "house", "log", "measure"]
