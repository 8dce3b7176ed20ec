// Package scripts holds what builds, deploys, tries out, checks and mends the function;
// there is no Go to import. What is tested here is the shell: what build.sh, deploy.sh
// and .ci/run do, and that serverless.yml and template.yaml keep to the platform's rules.
//
//	build.sh    dist/ci-callback.zip and dist/function, the same bytes for the same commit
//	deploy.sh   checks the variables, builds, deploys, asks the URL from outside
//	doctor      checks settings, buckets, CI and the deployed function; prints policies
//	local       runs everything on this machine
//	records     looks at records, and mends them; the board
//	survey      asks COS, CI and SCF whether they are as assumed
//	zip         writes the zip for build.sh
package scripts
