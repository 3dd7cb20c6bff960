#include "proto/iso_time.hpp"

#include <boost/date_time/posix_time/posix_time_duration.hpp>
#include <boost/date_time/posix_time/posix_time_types.hpp>
#include <boost/date_time/posix_time/time_parsers.hpp>

#include <string>

namespace linarite::proto {
namespace {

namespace posix_time = boost::posix_time;

constexpr std::size_t longest = 40;
constexpr std::size_t time_begins = 11; // behind "2026-11-23T": dashes before it belong to the date

} // namespace

std::optional<PreciseTime> parse_precise_iso_time(std::string_view text) {
    if (text.size() <= time_begins || text.size() > longest || text[time_begins - 1] != 'T') {
        return std::nullopt;
    }
    const std::size_t zone = std::min(text.find_first_of("Zz+-", time_begins), text.size());
    const std::string local(text.substr(0, zone));
    const std::string offset(text.substr(zone));
    try {
        posix_time::ptime at = posix_time::from_iso_extended_string(local);
        if (offset.size() > 1) {
            at -= posix_time::duration_from_string(offset[0] == '+' ? offset.substr(1) : offset);
        }
        static const posix_time::ptime epoch(boost::gregorian::date(1970, 1, 1));
        if (at.is_special()) {
            return std::nullopt;
        }
        return PreciseTime(std::chrono::microseconds((at - epoch).total_microseconds()));
    } catch (const std::exception&) { // a month 13, a letter: the parser has many words for "no"
        return std::nullopt;
    }
}

std::optional<Time> parse_iso_time(std::string_view text) {
    const auto at = parse_precise_iso_time(text);
    return at ? std::optional(std::chrono::floor<Millis>(*at)) : std::nullopt;
}

} // namespace linarite::proto
