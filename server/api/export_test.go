package api

import "net/http"

// Document is the OpenAPI document.
func Document() []byte { return openapi }

// Statuses returns the status of each kind of problem.
func Statuses() map[string]int {
	list := map[string]int{}
	for k, p := range kinds() {
		list[string(k)] = p.Status
	}
	return list
}

// Routes returns the operations that are served, as "METHOD path".
func (s *Server) Routes() (list []string) {
	for _, r := range s.routes() {
		list = append(list, r.method+" "+r.path)
	}
	return list
}

// ParseDigest returns what a Content-Digest has been understood as.
func ParseDigest(lines []string) (sha256, sha512 []byte, ok bool) {
	d, p := parseDigest(lines)
	return d.sha256, d.sha512, p == nil
}

// CheckTrailer reports whether a Content-Digest behind a body is taken for good.
func CheckTrailer(value, body string) bool {
	r := &http.Request{Trailer: http.Header{contentDigest: nil}}
	t := newTrailer(r)
	_, _ = t.Write([]byte(body))
	r.Trailer.Set(contentDigest, value)
	return t.check() == nil
}
