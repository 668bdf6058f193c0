// SPDX-License-Identifier: Apache-2.0
module example.org/godriver

go 1.19
