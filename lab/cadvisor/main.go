// The real cAdvisor without its pages, its history and its storage drivers: the library that the released program is made of,
// behind the two addresses that are asked of it, /healthz and /metrics.
//
// The library registers most flags itself; here are those of google/cadvisor v0.55.1 cmd/cadvisor.go that the catalogue uses.
// A flag that neither knows is refused by package flag, in the words of the released program.
package main

import (
	"flag"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/google/cadvisor/cache/memory"
	"github.com/google/cadvisor/container"
	_ "github.com/google/cadvisor/container/docker/install"
	_ "github.com/google/cadvisor/fs/overlay/install"
	v2 "github.com/google/cadvisor/info/v2"
	"github.com/google/cadvisor/manager"
	"github.com/google/cadvisor/metrics"
	"github.com/google/cadvisor/utils/sysfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

func main() {
	all := flag.Bool("store_container_labels", true, "whether every label of a container becomes one of its series")
	listed := flag.String("whitelisted_container_labels", "", "those that do otherwise")
	off := container.MetricSet{}
	flag.Var(&off, "disable_metrics", "what is not measured")
	klog.InitFlags(nil)
	flag.Parse()

	measured := container.AllMetrics.Difference(off)
	client := http.Client{}
	// As the released program: two minutes of statistics are kept.
	kept := memory.New(2*time.Minute, nil)
	// As a list of none reads there, which it looks into without a question: one empty name.
	none := []string{""}
	keeper, err := manager.New(kept, sysfs.NewRealSysFs(), manager.HousekeepingConfigFlags, measured, &client, none, none, "", 0)
	must(err)
	must(keeper.Start())

	labels := metrics.DefaultContainerLabels
	if !*all {
		labels = metrics.BaseContainerLabels(strings.Split(*listed, ","))
	}
	latest := v2.RequestOptions{IdType: v2.TypeName, Count: 1, Recursive: true}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		metrics.NewPrometheusCollector(keeper, labels, measured, clock.RealClock{}, latest),
		metrics.NewPrometheusMachineCollector(keeper, measured),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	http.HandleFunc("/healthz", func(writer http.ResponseWriter, _ *http.Request) { _, _ = writer.Write([]byte("ok")) })
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	must(http.ListenAndServe(":8080", nil))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
