package main

import (
	"fmt"
	"slices"
)

// regions are the regions of COS that were known when this was written. Lists age: one
// that is not here is doubted, not refused.
// https://cloud.tencent.com/document/product/436/6224
var regions = []string{
	"ap-beijing-1", "ap-beijing", "ap-nanjing", "ap-shanghai", "ap-guangzhou", "ap-chengdu", "ap-chongqing",
	"ap-shenzhen-fsi", "ap-shanghai-fsi", "ap-beijing-fsi",
	"ap-hongkong", "ap-singapore", "ap-mumbai", "ap-jakarta", "ap-seoul", "ap-bangkok", "ap-tokyo",
	"na-siliconvalley", "na-ashburn", "na-toronto", "sa-saopaulo", "eu-frankfurt", "eu-moscow",
}

func isKnownRegion(region string) bool { return slices.Contains(regions, region) }

// unknownRegion doubts a region, and names the one that is spelt most like it.
func unknownRegion(region string) finding {
	best := slices.MinFunc(regions, func(a, b string) int { return editDistance(region, a) - editDistance(region, b) })
	if editDistance(region, best) > len(best)/2 {
		return warn(fmt.Sprintf("%s is no region that is known here", region), "check the spelling: the console shows it beside the bucket")
	}
	return warn(fmt.Sprintf("%s is no region that is known here: did you mean %s?", region, best),
		"check the spelling: the console shows it beside the bucket")
}

// editDistance returns how many letters must be put in, taken out or changed to make b of
// a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // of the distances between the part of a so far and each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
