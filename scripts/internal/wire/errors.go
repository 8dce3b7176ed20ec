package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"
)

// NoAnswerError says why no answer came, and what to do about it, in words for people.
type NoAnswerError struct{ Problem, Remedy string }

func (e *NoAnswerError) Error() string { return e.Problem }

// Explain puts an error of net/http into words. The URL is taken off first: it may hold
// the token. An error that is in words already is returned as it is.
func Explain(err error) *NoAnswerError {
	if e, explained := errors.AsType[*NoAnswerError](err); explained {
		return e
	}
	if u, wrapped := errors.AsType[*url.Error](err); wrapped {
		err = u.Err
	}
	dns, unknownName := errors.AsType[*net.DNSError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return &NoAnswerError{"interrupted", "run it again"}
	case errors.Is(err, context.DeadlineExceeded) || isNet && timeout.Timeout():
		return &NoAnswerError{"no answer in time", "check the network, proxies and firewalls between, or give more time: -timeout 2m"}
	case unknownName:
		return &NoAnswerError{fmt.Sprintf("the name %.200q is not known", dns.Name),
			"check the spelling of the address (RECORD_REGION, COS_ENDPOINT, CI_ENDPOINT, -url) and the DNS of this machine"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &NoAnswerError{"nothing listens there: the connection was refused", "check the address (COS_ENDPOINT, CI_ENDPOINT, -url), the port too"}
	case isTLS(err):
		return &NoAnswerError{fmt.Sprintf("no secure connection: %.200s", err), "check the address, and whether a proxy puts its own certificate in between"}
	default:
		return &NoAnswerError{fmt.Sprintf("no answer: %.200s", err), "check the network, proxies and firewalls between, and run it again"}
	}
}

// isTLS reports whether an error is about the certificate or the protocol of TLS.
func isTLS(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	return certificate || record || authority || host || errors.Is(err, http.ErrSchemeMismatch)
}
