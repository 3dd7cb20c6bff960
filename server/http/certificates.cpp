// Our own CA and the server's certificate, made with OpenSSL at the first start.
#include "common/files.hpp"
#include "server/http/server.hpp"

#include <boost/asio/ip/address.hpp>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::http {
namespace {

namespace fs = std::filesystem;

template <auto Free>
struct Release {
    template <class T>
    void operator()(T* object) const {
        Free(object);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Release<X509_free>>;
using Bio = std::unique_ptr<BIO, Release<BIO_free_all>>;
using Extension = std::unique_ptr<X509_EXTENSION, Release<X509_EXTENSION_free>>;

constexpr long day = 86'400;
constexpr long ca_days = 7'300;
constexpr long server_days = 825; // what clients accept at most
constexpr long renewed_before_days = 30;

struct Pair {
    Key key;
    Certificate certificate;
};

Error openssl_error(const std::string& doing) {
    std::array<char, 256> text{};
    ERR_error_string_n(ERR_get_error(), text.data(), text.size());
    ERR_clear_error();
    return {Errc::internal, doing + ": " + text.data()};
}

Key make_key() {
    return Key(EVP_EC_gen("P-256"));
}

// Backdated by a day, since clocks of machines differ.
bool set_validity(X509* certificate, long days) {
    return X509_gmtime_adj(X509_getm_notBefore(certificate), -day) != nullptr &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), days * day) != nullptr;
}

bool set_random_serial(X509* certificate) {
    std::array<unsigned char, 16> bytes{};
    if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
        return false;
    }
    bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7fU) | 0x40U); // positive, and never of a shorter form
    const std::unique_ptr<BIGNUM, Release<BN_free>> number(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
    return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_name(X509_NAME* name, const std::string& common_name) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(common_name.c_str());
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes, -1, -1, 0) == 1;
}

bool add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

/// A certificate with everything but its extensions and signature.
Certificate begin_certificate(EVP_PKEY* key, const std::string& common_name, long days) {
    Certificate certificate(X509_new());
    X509* raw = certificate.get();
    if (raw == nullptr || X509_set_version(raw, X509_VERSION_3) != 1 || !set_random_serial(raw) ||
        !set_validity(raw, days) || X509_set_pubkey(raw, key) != 1 ||
        !set_name(X509_get_subject_name(raw), common_name)) {
        return nullptr;
    }
    return certificate;
}

Result<Pair> make_ca(const std::string& host) {
    Pair ca;
    ca.key = make_key();
    ca.certificate =
        ca.key ? begin_certificate(ca.key.get(), "Linarite CA of " + host.substr(0, 40), ca_days) : nullptr;
    X509* raw = ca.certificate.get();
    if (raw == nullptr || X509_set_issuer_name(raw, X509_get_subject_name(raw)) != 1 ||
        !add_extension(raw, raw, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(raw, raw, NID_subject_key_identifier, "hash") ||
        X509_sign(raw, ca.key.get(), EVP_sha256()) == 0) {
        return openssl_error("make a CA certificate");
    }
    return ca;
}

bool is_address(const std::string& name) {
    boost::system::error_code ec;
    asio::ip::make_address(name, ec);
    return !ec;
}

std::string alternative_names(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) {
        text.append(text.empty() ? "" : ",").append(is_address(name) ? "IP:" : "DNS:").append(name);
    }
    return text;
}

Result<Pair> make_server(const Pair& ca, const std::vector<std::string>& names) {
    Pair server;
    server.key = make_key();
    server.certificate =
        server.key ? begin_certificate(server.key.get(), "linarite coordinator", server_days) : nullptr;
    X509* raw = server.certificate.get();
    X509* issuer = ca.certificate.get();
    if (raw == nullptr || X509_set_issuer_name(raw, X509_get_subject_name(issuer)) != 1 ||
        !add_extension(raw, issuer, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(raw, issuer, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(raw, issuer, NID_ext_key_usage, "serverAuth") ||
        !add_extension(raw, issuer, NID_subject_key_identifier, "hash") ||
        !add_extension(raw, issuer, NID_authority_key_identifier, "keyid:always") ||
        !add_extension(raw, issuer, NID_subject_alt_name, alternative_names(names)) ||
        X509_sign(raw, ca.key.get(), EVP_sha256()) == 0) {
        return openssl_error("make a server certificate");
    }
    return server;
}

Result<void> save(const Pair& pair, const fs::path& certificate_file, const fs::path& key_file) {
    const Bio key_text(BIO_new(BIO_s_mem()));
    const Bio certificate_text(BIO_new(BIO_s_mem()));
    if (!key_text || !certificate_text ||
        PEM_write_bio_PrivateKey(key_text.get(), pair.key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
        PEM_write_bio_X509(certificate_text.get(), pair.certificate.get()) != 1) {
        return openssl_error("print a certificate");
    }
    const auto text = [](const Bio& bio) {
        char* bytes = nullptr;
        const long size = BIO_get_mem_data(bio.get(), &bytes);
        return std::string_view(bytes, static_cast<std::size_t>(size));
    };
    const Result<void> saved = write_file_durably(key_file, text(key_text), 0600);
    return saved ? write_file_durably(certificate_file, text(certificate_text), 0644) : saved;
}

/// Both null members are possible: nothing there, or nothing readable.
Pair load(const fs::path& certificate_file, const fs::path& key_file) {
    Pair pair;
    const Bio certificate(BIO_new_file(certificate_file.c_str(), "r"));
    const Bio key(BIO_new_file(key_file.c_str(), "r"));
    if (certificate) {
        pair.certificate.reset(PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr));
    }
    if (key) {
        pair.key.reset(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr));
    }
    ERR_clear_error();
    return pair;
}

bool fits(const Pair& pair) {
    return pair.certificate && pair.key && X509_check_private_key(pair.certificate.get(), pair.key.get()) == 1;
}

bool carries(X509* certificate, const std::string& name) {
    return is_address(name) ? X509_check_ip_asc(certificate, name.c_str(), 0) == 1
                            : X509_check_host(certificate, name.c_str(), name.size(), 0, nullptr) == 1;
}

bool still_good(const Pair& server, X509* ca, const std::vector<std::string>& names) {
    if (!fits(server)) {
        return false;
    }
    X509* raw = server.certificate.get();
    time_t soon = ::time(nullptr) + renewed_before_days * day;
    const bool lasts = X509_cmp_time(X509_get0_notAfter(raw), &soon) > 0;
    const bool is_ours = X509_verify(raw, X509_get0_pubkey(ca)) == 1;
    ERR_clear_error();
    return lasts && is_ours &&
           std::all_of(names.begin(), names.end(), [&](const std::string& name) { return carries(raw, name); });
}

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// A name goes into a certificate's text form, where a comma would begin the next one.
bool is_name(const std::string& name) {
    const auto good = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
               c == '_';
    };
    return is_address(name) || (!name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), good));
}

Result<std::vector<std::string>> all_names(const std::vector<std::string>& more) {
    std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
    const auto add = [&](const std::string& name) {
        if (std::find(names.begin(), names.end(), name) == names.end()) {
            names.push_back(name);
        }
    };
    if (const std::string host = host_name(); is_name(host)) {
        add(host);
    }
    for (const std::string& name : more) {
        if (!is_name(name)) {
            return Error(Errc::invalid_argument, "'" + name + "' is neither a host name nor an address");
        }
        add(name);
    }
    return names;
}

} // namespace

Result<void> ensure_certificates(const fs::path& folder, const std::vector<std::string>& names) {
    const Result<std::vector<std::string>> wanted = all_names(names);
    if (!wanted) {
        return wanted.error();
    }
    Result<void> made = make_folders(folder, 0700);
    if (!made) {
        return made;
    }
    const fs::path ca_file = folder / "ca.pem";
    const fs::path ca_key_file = folder / "ca.key";
    Pair ca = load(ca_file, ca_key_file);
    const Pair server = load(folder / "server.pem", folder / "server.key");
    if (ca.certificate && still_good(server, ca.certificate.get(), *wanted)) {
        return {};
    }
    std::error_code ignored;
    if (!fits(ca) && (fs::exists(ca_file, ignored) || fs::exists(ca_key_file, ignored))) {
        // a new CA would lock out every agent that trusts the old one: that is for a person to decide
        return Error(Errc::internal, "a server certificate is needed, but ca.pem and ca.key in '" + folder.string() +
                                         "' do not belong together or one is missing (remove both to begin anew)");
    }
    if (!ca.certificate) {
        Result<Pair> fresh = make_ca(host_name());
        if (!fresh) {
            return fresh.error();
        }
        ca = std::move(*fresh);
        Result<void> saved = save(ca, ca_file, ca_key_file);
        if (!saved) {
            return saved;
        }
    }
    const Result<Pair> fresh = make_server(ca, *wanted);
    return fresh ? save(*fresh, folder / "server.pem", folder / "server.key") : Result<void>(fresh.error());
}

Result<std::shared_ptr<asio::ssl::context>> load_certificates(const fs::path& folder) {
    auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
    SSL_CTX* raw = context->native_handle();
    SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
    SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS); // an idle connection holds 34 KiB less
    boost::system::error_code ec;
    context->use_certificate_chain_file((folder / "server.pem").string(), ec);
    if (!ec) {
        context->use_private_key_file((folder / "server.key").string(), asio::ssl::context::pem, ec);
    }
    if (ec) {
        return Error(Errc::internal, "load the certificate in '" + folder.string() + "': " + ec.message());
    }
    return context;
}

} // namespace linarite::http
