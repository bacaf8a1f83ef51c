"""The grammar of options: `key=value`, calls of parts, values, schedules, durations."""
