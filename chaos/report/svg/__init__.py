"""Drawing for the HTML report: inline SVG and a style sheet, no script, nothing fetched."""
