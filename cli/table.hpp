// cli/table.hpp: rows in aligned columns.
#pragma once

#include "cli/terminal.hpp"

#include <string>
#include <vector>

namespace linarite::cli {

struct Cell {
    std::string text;
    Style style = Style::plain;
};

/// A table for people: headers, columns two blanks apart, no trailing blanks. On a terminal a row is cut to its width.
class Table {
public:
    enum class Align { left, right };
    struct Column {
        std::string header;
        Align align = Align::left;
    };
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    /// Missing cells are empty; line breaks in a cell become blanks.
    void add(std::vector<Cell> row);
    [[nodiscard]] std::string render(const Terminal& terminal) const;

private:
    [[nodiscard]] std::vector<std::size_t> widths() const;
    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
};

} // namespace linarite::cli
