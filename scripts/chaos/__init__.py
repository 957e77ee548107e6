"""Seeded kills and faults against the real job: every row once, nothing paid twice but what was in flight."""
