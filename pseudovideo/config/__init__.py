"""One frozen `Config`, parsed once at the door.

May import `tasks` and everything below it; opens no file and no run.
"""
