package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
)

const modelAddress = "127.0.0.1:8084"

// newModel hands the tool's questions on to the model's provider with the key, which the tool never sees: while a job is in
// hand, and only what a conversation needs.
func newModel(provider, key string, busy func() bool) (http.Handler, error) {
	to, err := url.Parse(provider)
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(to)
			request.Out.Header.Del("Authorization")
			request.Out.Header.Set("X-Api-Key", key)
		},
	}
	mux := http.NewServeMux()
	for _, path := range []string{"POST /v1/messages", "POST /v1/messages/count_tokens"} {
		mux.HandleFunc(path, func(writer http.ResponseWriter, request *http.Request) {
			if key == "" || !busy() {
				http.Error(writer, "no key, or no job in hand", http.StatusForbidden)
				return
			}
			proxy.ServeHTTP(writer, request)
		})
	}
	return mux, nil
}
