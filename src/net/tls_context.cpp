#include "net/tls_context.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <string_view>

namespace realtime {
namespace {

// For TLS 1.2; all of TLS 1.3's are good. Any client of the last ten years knows one of them.
constexpr char kCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr std::string_view kProtocol("\x08http/1.1", 9);

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

// OpenSSL would ask the terminal for the passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

std::string LastError() {
  unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return reason == nullptr ? "unknown error" : reason;
}

Status Broken(const std::string& what) { return Status(Code::kInvalid, what + ": " + LastError()); }

BioPtr Open(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free);
}

Status UseChain(SSL_CTX* context, const std::string& text) {
  BioPtr bio = Open(text);
  CertificatePtr own(PEM_read_bio_X509_AUX(bio.get(), nullptr, &NoPassphrase, nullptr), &X509_free);
  if (own == nullptr) return Broken("the certificate file holds no certificate");
  if (SSL_CTX_use_certificate(context, own.get()) != 1) return Broken("the certificate cannot be used");
  for (;;) {
    CertificatePtr next(PEM_read_bio_X509(bio.get(), nullptr, &NoPassphrase, nullptr), &X509_free);
    if (next == nullptr) break;
    if (SSL_CTX_add1_chain_cert(context, next.get()) != 1) return Broken("the certificate's chain cannot be used");
  }
  bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!ended) return Broken("the certificate's chain cannot be read");
  ERR_clear_error();
  return Status::Ok();
}

Status UseKey(SSL_CTX* context, const std::string& text) {
  BioPtr bio = Open(text);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &NoPassphrase, nullptr), &EVP_PKEY_free);
  if (key == nullptr) return Broken("the key file holds no private key that can be read without a passphrase");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) return Broken("the private key cannot be used");
  if (SSL_CTX_check_private_key(context) != 1) return Broken("the private key is not the certificate's");
  return Status::Ok();
}

// Browsers offer h2 as well, which libwebsockets would have to speak then.
int ChooseProtocol(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in,
                   unsigned int in_length, void*) {
  auto* ours = reinterpret_cast<const unsigned char*>(kProtocol.data());
  unsigned char* chosen = nullptr;
  int found = SSL_select_next_proto(&chosen, out_length, ours, static_cast<unsigned>(kProtocol.size()), in, in_length);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

Status Restrict(SSL_CTX* context) {
  if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 || SSL_CTX_set_cipher_list(context, kCiphers) != 1) {
    return Broken("this OpenSSL does not offer what is needed");
  }
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_SINGLE_ECDH_USE);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  // Idle connections are many: they give their buffers back.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context, &ChooseProtocol, nullptr);
  return Status::Ok();
}

}  // namespace

Result<TlsContextPtr> MakeTlsContext(const std::string& certificate, const std::string& key) {
  ERR_clear_error();
  TlsContextPtr context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  if (context == nullptr) return Broken("OpenSSL could not be set up");
  Status status = Restrict(context.get());
  if (status.ok()) status = UseChain(context.get(), certificate);
  if (status.ok()) status = UseKey(context.get(), key);
  if (!status.ok()) return status;
  return context;
}

}  // namespace realtime
