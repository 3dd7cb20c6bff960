#include "server/azureml/run_filter.hpp"

#include <boost/fusion/include/std_pair.hpp>
#include <boost/spirit/home/x3.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace linarite::azureml {
namespace {

namespace x3 = boost::spirit::x3;
using store::RunCondition;
using Field = RunCondition::Field;
using Operator = RunCondition::Operator;
using Kind = RunCondition::Kind;

constexpr std::size_t longest_filter = 4096;
constexpr int deepest = 32;
constexpr int most_comparisons = 32;

/// What the grammar calls while it reads: a stack machine, so that the grammar needs no recursive types.
struct Builder {
    std::vector<RunCondition> stack;
    std::vector<Fault> faults;
    std::string field;
    Operator op = Operator::eq;
    int comparisons = 0;
    bool of_experiments = false;

    void combine(Kind kind) {
        RunCondition right = std::move(stack.back());
        stack.pop_back();
        RunCondition left = std::move(stack.back());
        stack.pop_back();
        RunCondition both;
        both.kind = kind;
        both.parts.push_back(std::move(left));
        both.parts.push_back(std::move(right));
        stack.push_back(std::move(both));
    }
    void compare(std::optional<std::string> value);
};
struct BuilderTag;

struct Operators : x3::symbols<Operator> {
    Operators() {
        add("eq", Operator::eq)("ne", Operator::ne)("gt", Operator::gt);
        add("ge", Operator::ge)("lt", Operator::lt)("le", Operator::le);
    }
} const operators;

// "2026-11-23 14:00:00.5+00:00", also with a T and a Z: milliseconds since 1970
struct Moment {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0;
    double second = 0;
    int offset_minutes = 0;
};

std::optional<std::int64_t> read_time(const std::string& text) {
    Moment at;
    const auto number = [](int& into) { return [&into](auto& context) { into = x3::_attr(context); }; };
    const x3::uint_parser<int, 10, 4, 4> four{};
    const x3::uint_parser<int, 10, 1, 2> two{};
    int offset_hour = 0;
    int offset_minute = 0;
    int sign = 0;
    const auto second = [&at](auto& context) { at.second = x3::_attr(context); };
    const auto plus = [&sign](auto&) { sign = 1; };
    const auto minus = [&sign](auto&) { sign = -1; };
    const auto zone = (x3::lit('+')[plus] | x3::lit('-')[minus]) >> two[number(offset_hour)] >> -x3::lit(':') >>
                      two[number(offset_minute)];
    const auto clock =
        x3::char_("T ") >> two[number(at.hour)] >> ':' >> two[number(at.minute)] >> -(':' >> x3::double_[second]);
    const auto grammar = four[number(at.year)] >> '-' >> two[number(at.month)] >> '-' >> two[number(at.day)] >>
                         -clock >> -(x3::lit('Z') | zone);
    auto begin = text.begin();
    if (!x3::parse(begin, text.end(), grammar) || begin != text.end()) {
        return std::nullopt;
    }
    using namespace std::chrono;
    const year_month_day date{year(at.year), month(static_cast<unsigned>(at.month)),
                              day(static_cast<unsigned>(at.day))};
    if (!date.ok()) {
        return std::nullopt;
    }
    const auto whole =
        sys_days(date) + hours(at.hour) + minutes(at.minute) - sign * (hours(offset_hour) + minutes(offset_minute));
    return duration_cast<milliseconds>(whole.time_since_epoch()).count() + static_cast<std::int64_t>(at.second * 1000);
}

struct NamedField {
    std::string_view name;
    Field field;
};
constexpr std::array named_fields{NamedField{"RunId", Field::id},          NamedField{"ParentRunId", Field::parent},
                                  NamedField{"RootRunId", Field::root},    NamedField{"Status", Field::status},
                                  NamedField{"RunType", Field::kind},      NamedField{"Target", Field::target},
                                  NamedField{"CreatedUtc", Field::created}};

std::optional<RunCondition> field_of(const std::string& name) {
    RunCondition out;
    for (const NamedField& each : named_fields) {
        if (each.name == name) {
            out.field = each.field;
            return out;
        }
    }
    constexpr std::array<std::pair<std::string_view, Field>, 3> prefixes{
        std::pair{std::string_view("Tags/"), Field::tag}, std::pair{std::string_view("Properties/"), Field::property},
        std::pair{std::string_view("RunTypeV2/"), Field::never}};
    for (const auto& [prefix, field] : prefixes) {
        if (name.starts_with(prefix)) {
            out.field = field;
            out.key = name.substr(prefix.size());
            return out;
        }
    }
    return std::nullopt;
}

// Rows of runs that were submitted have no kind.
RunCondition also_without_kind(RunCondition compared) {
    RunCondition bare = compared;
    bare.value = "";
    RunCondition either;
    either.kind = compared.op == Operator::ne ? Kind::all : Kind::any;
    either.parts = {std::move(compared), std::move(bare)};
    return either;
}

void Builder::compare(std::optional<std::string> value) {
    auto condition = of_experiments && (field == "name" || field == "Name") ? RunCondition() : field_of(field);
    if (!condition) {
        faults.push_back({"/filter", "'" + field + "' is no field of a run that can be compared"});
        condition = RunCondition();
    }
    if (++comparisons > most_comparisons) {
        faults.push_back({"/filter", "more than " + std::to_string(most_comparisons) + " comparisons"});
    }
    condition->op = op;
    if (condition->field == Field::created && value) {
        const auto at = read_time(*value);
        if (!at) {
            faults.push_back({"/filter", "'" + *value + "' is no time"});
        }
        value = std::to_string(at.value_or(0));
    }
    condition->value = std::move(value);
    const bool bare_kind = condition->field == Field::kind && condition->value == script_run;
    stack.push_back(bare_kind ? also_without_kind(std::move(*condition)) : std::move(*condition));
}

template <class Context>
Builder& builder(Context& context) {
    return x3::get<BuilderTag>(context).get();
}

const auto set_field = [](auto& context) { builder(context).field = x3::_attr(context); };
const auto set_operator = [](auto& context) { builder(context).op = x3::_attr(context); };
const auto take_text = [](auto& context) { builder(context).compare(x3::_attr(context)); };
const auto take_null = [](auto& context) { builder(context).compare(std::nullopt); };
const auto take_and = [](auto& context) { builder(context).combine(Kind::all); };
const auto take_or = [](auto& context) { builder(context).combine(Kind::any); };

const x3::rule<class Disjunction> disjunction = "filter";
const x3::rule<class Word, std::string> word = "word";
const x3::rule<class Quoted, std::string> quoted = "text";
const x3::rule<class Instant, std::string> instant = "time";

const auto plain = x3::graph - x3::char_("()\"");
const auto word_def = x3::lexeme[+plain];
const auto quoted_def = x3::lexeme['"' >> *(('\\' >> x3::char_) | (x3::char_ - '"')) >> '"'];
// a time is two words with a space between them
const auto instant_def = x3::lexeme[x3::repeat(4)[x3::digit] >> x3::char_('-') >> +plain >> x3::char_(' ') >>
                                    x3::repeat(2)[x3::digit] >> x3::char_(':') >> +plain];
const auto keyword_null = x3::lexeme["null" >> !plain];
const auto value = keyword_null[take_null] | quoted[take_text] | instant[take_text] | word[take_text];
const auto comparison = word[set_field] >> x3::lexeme[operators[set_operator] >> !plain] >> value;
const auto factor = ('(' >> disjunction >> ')') | comparison;
const auto conjunction = factor >> *((x3::lexeme["and" >> !plain] >> factor)[take_and]);
const auto disjunction_def = conjunction >> *((x3::lexeme["or" >> !plain] >> conjunction)[take_or]);

BOOST_SPIRIT_DEFINE(disjunction, word, quoted, instant)

bool is_too_deep(const std::string& text) {
    int depth = 0;
    return std::any_of(text.begin(), text.end(), [&depth](char c) {
        depth += c == '(' ? 1 : c == ')' ? -1 : 0;
        return depth > deepest;
    });
}

Result<RunCondition> parse_filter(const std::string& text, bool of_experiments) {
    if (text.size() > longest_filter || is_too_deep(text)) {
        return Error({Fault{"/filter", "the filter is too long or too deeply nested"}});
    }
    Builder built;
    built.of_experiments = of_experiments;
    auto begin = text.begin();
    const auto grammar = x3::with<BuilderTag>(std::ref(built))[disjunction];
    const bool read = x3::phrase_parse(begin, text.end(), grammar, x3::space);
    if (!read || begin != text.end()) {
        const auto at = std::to_string(begin - text.begin());
        return Error({Fault{"/filter", "the filter cannot be read from character " + at + " on: '" +
                                           std::string(begin, text.end()).substr(0, 80) + "'"}});
    }
    if (!built.faults.empty()) {
        return Error(std::move(built.faults));
    }
    return std::move(built.stack.back());
}

} // namespace

Result<RunCondition> parse_run_filter(const std::string& text) {
    return parse_filter(text, false);
}

Result<RunCondition> parse_experiment_filter(const std::string& text) {
    return parse_filter(text, true);
}

} // namespace linarite::azureml
