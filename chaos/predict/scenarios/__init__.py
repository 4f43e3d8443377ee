"""The course of one fault, kind by kind."""
