#include "common/files.hpp"
#include "common/ids.hpp"
#include "server/http/server.hpp"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <sys/stat.h>

namespace linarite::http {
namespace {

namespace fs = std::filesystem;

class CertificatesTest : public testing::Test {
protected:
    CertificatesTest() : folder_(fs::temp_directory_path() / ("linarite-tls-" + random_hex(8))) {}
    ~CertificatesTest() override {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }
    [[nodiscard]] std::string text(const char* name) const { return read_file(folder_ / name).value(); }
    [[nodiscard]] std::shared_ptr<X509> certificate(const char* name) const {
        const std::unique_ptr<BIO, int (*)(BIO*)> file(BIO_new_file((folder_ / name).c_str(), "r"), BIO_free);
        return {PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr), X509_free};
    }
    /// X509_V_OK if a client that is as strict as OpenSSL can be takes the server for `host`.
    [[nodiscard]] int verify(const char* host, bool is_address) const {
        const std::unique_ptr<X509_STORE, void (*)(X509_STORE*)> store(X509_STORE_new(), X509_STORE_free);
        const auto ca = certificate("ca.pem");
        const auto server = certificate("server.pem");
        X509_STORE_add_cert(store.get(), ca.get());
        const std::unique_ptr<X509_STORE_CTX, void (*)(X509_STORE_CTX*)> context(X509_STORE_CTX_new(),
                                                                                 X509_STORE_CTX_free);
        X509_STORE_CTX_init(context.get(), store.get(), server.get(), nullptr);
        X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
        X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
        X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_SERVER);
        if (is_address) {
            X509_VERIFY_PARAM_set1_ip_asc(rules, host);
        } else {
            X509_VERIFY_PARAM_set1_host(rules, host, 0);
        }
        X509_verify_cert(context.get());
        return X509_STORE_CTX_get_error(context.get());
    }

    fs::path folder_;
};

TEST_F(CertificatesTest, AStrictClientAcceptsThemForAllNames) {
    ASSERT_TRUE(ensure_certificates(folder_, {"head.example", "10.1.2.3"}));

    EXPECT_EQ(verify("localhost", false), X509_V_OK);
    EXPECT_EQ(verify("127.0.0.1", true), X509_V_OK);
    EXPECT_EQ(verify("::1", true), X509_V_OK);
    EXPECT_EQ(verify("head.example", false), X509_V_OK);
    EXPECT_EQ(verify("10.1.2.3", true), X509_V_OK);
    EXPECT_EQ(verify("other.example", false), X509_V_ERR_HOSTNAME_MISMATCH);
    EXPECT_TRUE(load_certificates(folder_));
}

TEST_F(CertificatesTest, KeysAreForTheOwnerAlone) {
    ASSERT_TRUE(ensure_certificates(folder_, {}));

    for (const char* name : {"ca.key", "server.key"}) {
        struct stat facts {};
        ASSERT_EQ(::stat((folder_ / name).c_str(), &facts), 0);
        EXPECT_EQ(facts.st_mode & 0777U, 0600U) << name;
    }
}

TEST_F(CertificatesTest, ASecondStartChangesNothing) {
    ASSERT_TRUE(ensure_certificates(folder_, {"a.example"}));
    const std::string ca = text("ca.pem");
    const std::string server = text("server.pem");

    ASSERT_TRUE(ensure_certificates(folder_, {"a.example"}));

    EXPECT_EQ(text("ca.pem"), ca);
    EXPECT_EQ(text("server.pem"), server);
}

TEST_F(CertificatesTest, ANewNameMakesANewServerCertificateOfTheSameCa) {
    ASSERT_TRUE(ensure_certificates(folder_, {}));
    const std::string ca = text("ca.pem");

    ASSERT_TRUE(ensure_certificates(folder_, {"new.example"}));

    EXPECT_EQ(text("ca.pem"), ca);
    EXPECT_EQ(verify("new.example", false), X509_V_OK);
}

TEST_F(CertificatesTest, AnUnfinishedServerPairIsMadeAnew) {
    ASSERT_TRUE(ensure_certificates(folder_, {}));
    ASSERT_TRUE(write_file_durably(folder_ / "server.key", "not a key"));

    ASSERT_TRUE(ensure_certificates(folder_, {}));

    EXPECT_EQ(verify("localhost", false), X509_V_OK);
    EXPECT_TRUE(load_certificates(folder_));
}

TEST_F(CertificatesTest, AnotherCaIsNeverMadeSilently) {
    ASSERT_TRUE(ensure_certificates(folder_, {}));
    const std::string ca = text("ca.pem");
    fs::remove(folder_ / "ca.key");

    EXPECT_TRUE(ensure_certificates(folder_, {})); // what is there is enough
    EXPECT_FALSE(ensure_certificates(folder_, {"new.example"}));

    EXPECT_EQ(text("ca.pem"), ca);
}

TEST_F(CertificatesTest, RefusesNamesThatAreNone) {
    for (const char* name : {"", "a,DNS:evil.example", "a b", "a\nb", "*"}) {
        const auto made = ensure_certificates(folder_, {name});
        ASSERT_FALSE(made) << name;
        EXPECT_EQ(made.error().code(), Errc::invalid_argument);
    }
}

TEST_F(CertificatesTest, LoadingWhatIsNotThereIsAnError) {
    EXPECT_FALSE(load_certificates(folder_));
}

} // namespace
} // namespace linarite::http
