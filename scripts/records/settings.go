package main

import (
	"net/http"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/scripts/internal/shell"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
	"github.com/ci-callback/ci-callback/scripts/records/mend"
)

// maxRequests is how many requests to COS are under way at a time.
const maxRequests = 64

// world is what the commands work on.
type world struct {
	config       config.Config
	storeOptions store.Options
	store        *store.Store
	catalog      *catalog.Catalog
	transport    http.RoundTripper
	environment  config.Environment
}

// open reads the settings and opens the record bucket. It makes no request.
func (t *tool) open() (*world, error) {
	w := &world{environment: shell.Environment(t.environ), transport: t.transport}
	if w.transport == nil {
		w.transport = transport()
	}
	if key := w.environment.Invocation; key["TENCENTCLOUD_SECRETID"] == "" || key["TENCENTCLOUD_SECRETKEY"] == "" {
		return nil, errNoCredentials
	}
	var err error
	if w.config, err = config.Load(w.environment); err != nil {
		return nil, err
	}
	w.storeOptions = store.Options{
		Credentials: cosclient.Credentials(w.config.Credentials), Endpoint: w.config.Endpoint,
		Bucket: w.config.RecordBucket, Region: w.config.RecordRegion, Prefix: w.config.RecordPrefix,
		TagKey: w.config.MD5TagKey, TagBuckets: w.config.TagBuckets, AppID: w.config.AppID,
		MaxTries: mend.MaxTries, Slots: make(chan struct{}, maxRequests),
		Warn: func(message string) { t.say("%s", message) },
	}
	if w.store, err = store.NewPool(w.transport).Open(w.storeOptions); err != nil {
		return nil, err
	}
	w.catalog = catalog.New(catalog.FromStore(w.store), w.config.RecordPrefix)
	return w, nil
}

// transport returns one that keeps as many connections as requests are made at a time.
func transport() *http.Transport {
	t := cosclient.NewTransport()
	t.MaxIdleConnsPerHost = maxRequests
	return t
}

// mender returns what mends the records. The settings of the reconciliation are read
// here: who does not mend needs none of them.
func (w *world) mender() (*mend.Mender, error) {
	settings, err := config.LoadReconcile(w.environment)
	if err != nil {
		return nil, err
	}
	o := w.storeOptions
	o.Slots = make(chan struct{}, reconcile.MaxCOSRequests)
	s, err := store.NewPool(w.transport).Open(o)
	if err != nil {
		return nil, err
	}
	m := mend.Options{
		Store: s, StoreOptions: o, TagMD5: w.config.TagMD5, Types: settings.Types,
		CI: ci.NewClient(ci.Options{Transport: w.transport, Endpoint: settings.Endpoint, Credentials: o.Credentials}),
	}
	for _, b := range settings.Buckets {
		m.Buckets = append(m.Buckets, reconcile.Bucket(b))
	}
	for _, f := range settings.Workflows {
		m.Workflows = append(m.Workflows, reconcile.Workflow(f))
	}
	return mend.New(m), nil
}
