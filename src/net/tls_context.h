// The server's side of TLS as OpenSSL wants it: certificate, key, and what is spoken.
#ifndef REALTIME_NET_TLS_CONTEXT_H_
#define REALTIME_NET_TLS_CONTEXT_H_

#include <memory>
#include <string>

#include "core/status.h"

struct ssl_ctx_st;

namespace realtime {

using TlsContextPtr = std::shared_ptr<ssl_ctx_st>;

// From PEM texts: the server's certificate, followed by those of the authorities between it and the root; and its private
// key, which must not ask for a passphrase. TLS 1.2 and newer, forward secrecy only, http/1.1 only, neither session tickets
// nor renegotiation. The status says what is wrong with the texts, and holds nothing of the key.
Result<TlsContextPtr> MakeTlsContext(const std::string& certificate, const std::string& key);

}  // namespace realtime

#endif  // REALTIME_NET_TLS_CONTEXT_H_
