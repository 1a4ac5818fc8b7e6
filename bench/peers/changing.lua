-- Each request with a path and an id of its own, so that no head on a connection is like the one before it.
local count = 0
request = function()
    count = count + 1
    wrk.headers["X-Trace"] = "id-" .. count
    return wrk.format(nil, wrk.path .. count)
end
