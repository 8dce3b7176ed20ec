package board

import (
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// contentSecurityPolicy lets a page load the board's own style sheet, script and icon,
// fetch itself again, and post to the board. Nothing inline runs, nothing comes from
// elsewhere, no other page may frame it, and no text becomes markup in the browser.
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

const (
	maxQuery = 4 << 10  // bytes of a URL's query
	maxForm  = 16 << 10 // bytes of a form
)

// guard stands before every page. It refuses what is not addressed to this listener by
// an exact loopback name: a page of a stranger whose name resolves to 127.0.0.1 has its
// own name in Host, and in Origin too, so that comparing the two would let it in.
func (b *Board) guard(port int, next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "This request comes from another page.", http.StatusForbidden)
	}))
	inner := crossOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header())
		switch {
		case !isOwnHost(r.Host, port):
			http.Error(w, "Misdirected request.", http.StatusMisdirectedRequest)
		case len(r.URL.RawQuery) > maxQuery:
			http.Error(w, "The query of this address is too long.", http.StatusRequestURITooLong)
		case r.Method == http.MethodPost && !b.ownPost(w, r):
			http.Error(w, "This form is not one of this board's pages, or of an earlier run of it. "+
				"Go back, load the page again, and try once more.", http.StatusForbidden)
		default:
			inner.ServeHTTP(w, r)
		}
	})
}

func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	// Not no-referrer: a form would then be posted with "Origin: null".
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "private, no-cache")
}

// loopbackNames are the names by which a browser on this machine may call the board.
func loopbackNames() []string { return []string{"127.0.0.1", "localhost", "::1"} }

// CheckAddress returns an error unless an address to listen on, such as 127.0.0.1:9090, is
// one under which a browser on this machine may call the board: others could reach a board
// elsewhere, or nobody could.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || !slices.Contains(loopbackNames(), host) {
		return fmt.Errorf("%q is no address for the board: name one of %s and a port, such as 127.0.0.1:9090", address, strings.Join(loopbackNames(), ", "))
	}
	return nil
}

// isOwnHost reports whether a Host header is a loopback name with the listener's port.
// The whole name is compared: 127.0.0.1.example.com begins like one, too.
func isOwnHost(host string, port int) bool {
	name, number, err := net.SplitHostPort(strings.ToLower(host))
	if err != nil && port == 80 {
		name, number = strings.Trim(strings.ToLower(host), "[]"), "80"
	}
	return number == strconv.Itoa(port) && slices.Contains(loopbackNames(), name)
}

// ownPost reports whether a POST is a form of this process's own pages: its Origin is
// the address it was sent to, and it has the token that the page had.
func (b *Board) ownPost(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Origin") != "http://"+r.Host {
		return false
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/x-www-form-urlencoded" {
		return false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.ParseForm() != nil {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(r.PostForm.Get("token")), []byte(b.token)) == 1
}
