#include "cli/table.hpp"

#include <algorithm>

namespace linarite::cli {
namespace {

std::string render_cell(const Cell& cell, Table::Align align, std::size_t width, bool last, const Terminal& terminal) {
    const std::size_t taken = display_width(cell.text);
    const std::string padding(width > taken ? width - taken : 0, ' ');
    const std::string text = terminal.out(cell.style, cell.text);
    if (align == Table::Align::right) {
        return padding + text;
    }
    return last ? text : text + padding;
}

} // namespace

void Table::add(std::vector<Cell> row) {
    row.resize(columns_.size());
    for (Cell& cell : row) {
        cell.text = printable(cell.text);
        std::replace_if(
            cell.text.begin(), cell.text.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
    }
    rows_.push_back(std::move(row));
}

std::vector<std::size_t> Table::widths() const {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::size_t width = display_width(columns_[i].header);
        for (const std::vector<Cell>& row : rows_) {
            width = std::max(width, display_width(row[i].text));
        }
        widths.push_back(width);
    }
    return widths;
}

std::string Table::render(const Terminal& terminal) const {
    const std::vector<std::size_t> width = widths();
    std::vector<Cell> header;
    header.reserve(columns_.size());
    for (const Column& column : columns_) {
        header.push_back({column.header, Style::bold});
    }
    std::string text;
    const auto render_row = [&](const std::vector<Cell>& row) {
        std::size_t used = 0;
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const bool last = i + 1 == row.size();
            Cell cell = row[i];
            if (last && terminal.width() > used + 8) {
                cell.text = shorten(cell.text, terminal.width() - used);
            }
            line += render_cell(cell, columns_[i].align, width[i], last, terminal);
            line += last ? "" : "  ";
            used += width[i] + 2;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    };
    render_row(header);
    for (const std::vector<Cell>& row : rows_) {
        render_row(row);
    }
    return text;
}

} // namespace linarite::cli
