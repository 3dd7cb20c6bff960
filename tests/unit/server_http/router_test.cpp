#include "server/http/router.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace linarite::http {
namespace {

using beast_http::verb;
using Role = Principal::Role;

asio::awaitable<void> nothing(Exchange&) {
    co_return;
}

Router sample() {
    Router router;
    router.add(verb::get, "/", {Role::none}, nothing);
    router.add(verb::get, "/runs", {Role::admin, Role::agent}, nothing);
    router.add(verb::post, "/runs", {Role::admin}, nothing);
    router.add(verb::get, "/runs/{id}", {Role::admin}, nothing);
    router.add(verb::get, "/runs/newest", {Role::admin}, nothing);
    router.add(verb::post, "/runs/{run}/cancel", {Role::admin}, nothing);
    router.add(verb::get, "/runs/{id}/files/{path...}", {Role::admin}, nothing);
    router.add(verb::get, "/runs/{id}/files", {Role::admin}, nothing);
    return router;
}

std::string route(const Router& router, verb method, const std::string& path) {
    const auto match = router.find(method, path, Role::admin, nullptr);
    return match ? match->route : "";
}

TEST(Router, FindsLiteralParameterAndRest) {
    const Router router = sample();

    const auto file = router.find(verb::get, "/runs/r1/files/outputs/a b.txt", Role::admin, nullptr);

    ASSERT_TRUE(file);
    EXPECT_EQ(file->route, "/runs/{id}/files/{path...}");
    EXPECT_EQ(file->parameters, (std::map<std::string, std::string>{{"id", "r1"}, {"path", "outputs/a b.txt"}}));
    EXPECT_EQ(route(router, verb::get, "/runs/r1/files"), "/runs/{id}/files");
    EXPECT_EQ(router.find(verb::post, "/runs/r1/cancel", Role::admin, nullptr)->parameters.at("run"), "r1");
}

TEST(Router, ALiteralWinsOverAParameter) {
    const Router router = sample();

    EXPECT_EQ(route(router, verb::get, "/runs/newest"), "/runs/newest");
    EXPECT_EQ(route(router, verb::get, "/runs/newest/files"), "/runs/{id}/files");
    EXPECT_EQ(route(router, verb::get, "/runs/older"), "/runs/{id}");
}

TEST(Router, TheRootIsAPathOfItsOwn) {
    const Router router = sample();

    EXPECT_TRUE(router.find(verb::get, "/", Role::none, nullptr));
}

TEST(Router, UnknownPathsAreNotFound) {
    const Router router = sample();

    for (const char* path : {"/nodes", "/runs/r1/none", "/run", "/runs/r1/cancel/more"}) {
        const auto match = router.find(verb::get, path, Role::admin, nullptr);
        ASSERT_FALSE(match) << path;
        EXPECT_EQ(match.error().code(), Errc::not_found) << path;
    }
}

TEST(Router, AnotherMethodNamesTheAllowedOnes) {
    const Router router = sample();
    std::vector<verb> allowed;

    const auto match = router.find(verb::delete_, "/runs", Role::admin, &allowed);

    ASSERT_FALSE(match);
    EXPECT_EQ(match.error().code(), Errc::invalid_argument);
    EXPECT_EQ(allowed, (std::vector<verb>{verb::get, verb::post}));
}

TEST(Router, HeadFindsTheGetRouteOnly) {
    const Router router = sample();

    EXPECT_EQ(route(router, verb::head, "/runs/r1"), "/runs/{id}");
    EXPECT_EQ(route(router, verb::head, "/runs/r1/cancel"), "");
}

TEST(Router, OtherRolesAreForbidden) {
    const Router router = sample();

    EXPECT_TRUE(router.find(verb::get, "/runs", Role::agent, nullptr));
    EXPECT_EQ(router.find(verb::post, "/runs", Role::agent, nullptr).error().code(), Errc::forbidden);
    EXPECT_EQ(router.find(verb::get, "/runs", Role::none, nullptr).error().code(), Errc::forbidden);
}

TEST(Router, RefusesTheSameRouteTwiceAndBadPatterns) {
    Router router = sample();

    EXPECT_THROW(router.add(verb::get, "/runs/{name}", {Role::admin}, nothing), std::logic_error);
    EXPECT_THROW(router.add(verb::get, "runs", {Role::admin}, nothing), std::logic_error);
    EXPECT_THROW(router.add(verb::get, "/a//b", {Role::admin}, nothing), std::logic_error);
    EXPECT_THROW(router.add(verb::get, "/a/{rest...}/b", {Role::admin}, nothing), std::logic_error);
}

} // namespace
} // namespace linarite::http
