-- include: snapshot.lua
-- include: dependents.lua
-- Makes the automatic version that an app was handed out for, with everything of its source but the base digest.
-- Secrets are copied here and leave the store on no other way.
-- KEYS 9: update, 10: handed out, 11: made, 12: waiting, 13: admitted, 14: platforms, 15: base images.
-- ARGV 1: app, 2: number of the update, 3: source, or '' when there is nothing to rebuild, 4: seen, 5: by,
-- 6: how many may be admitted, 7-11: prefixes of apps, versions, made, unfinished, dependents.
-- Returns {'made', version, base digest, how many are left handed out, free slots, superseded versions...},
-- {'changed', snapshot...}: decide again, {'skipped', left} or {'over', left}: the update has ended, or this was done before.
local app, source, content = ARGV[1], ARGV[3], redis.call('HGET', KEYS[9], 'content')
local prefixes = {platforms = KEYS[14], apps = ARGV[7], versions = ARGV[8], made = ARGV[9], unfinished = ARGV[10]}
local function left() return redis.call('ZCARD', KEYS[10]) end

if redis.call('HGET', KEYS[9], 'number') ~= ARGV[2] then return {'over', 0} end
if not redis.call('ZSCORE', KEYS[10], app) then
  -- done before: a second delivery, or the answer was lost
  local newest = redis.call('HGET', APP, 'last')
  local key = ARGV[8] .. app .. ':' .. tostring(newest)
  if redis.call('HGET', key, 'update') == ARGV[2] and redis.call('HGET', key, 'rebuild_of') == source then
    return {'made', tonumber(newest), redis.call('HGET', key, 'base_digest'), left(), 0}
  end
  return {'over', left()}
end
local snapshots = {}
if snapshot(snapshots, app, content, prefixes) ~= ARGV[4] then
  table.insert(snapshots, 1, 'changed')
  return snapshots
end
redis.call('ZREM', KEYS[10], app)
if source == '' then
  redis.call('HINCRBY', KEYS[9], 'skipped', 1)
  return {'skipped', left()}
end

local now = now_ms()
local older = redis.call('HGET', APP, 'last')
local number = redis.call('HINCRBY', APP, 'last', 1)
local from, key = ARGV[8] .. app .. ':' .. source, ARGV[8] .. app .. ':' .. number
local digest = redis.call('HGET', KEYS[9], 'digest')
local record = {'app', app, 'number', number, 'state', 'queued', 'attempt', 0, 'token', 0, 'automatic', 1,
  'created_at', ms(now), 'enqueued_at', ms(now), 'deployed_by', ARGV[5], 'rebuild_of', source,
  'base_digest', digest, 'wanted_digest', digest, 'update', ARGV[2]}
local copied = {'bundle_url', 'settings', 'env', 'base_image', 'base_reference', 'origin'}
for i, value in ipairs(redis.call('HMGET', from, unpack(copied))) do
  table.insert(record, copied[i])
  table.insert(record, value or (copied[i] == 'origin' and source) or '')
end
redis.call('HSET', key, unpack(record))
local detail = 'Base image ' .. redis.call('HGET', key, 'base_image') .. ' changed to digest ' .. digest .. ': version '
  .. number .. ' builds version ' .. source .. ' on it again.'
note('rebuild', key, detail)
tell('rebuild', key, detail)

local reply = {'made', number, digest, left(), 0}
for _, unfinished in ipairs(redis.call('ZRANGE', UNFINISHED, 0, -1)) do
  local state = redis.call('HGET', ARGV[8] .. app .. ':' .. unfinished, 'state')
  if state == 'queued' or state == 'building' or state == 'retrying' then
    local reason = 'The base image changed again: version ' .. number .. ' takes its place.'
    local refused = move(ARGV[8] .. app .. ':' .. unfinished, app .. ' ' .. unfinished, 'superseded', reason)
    if refused then return refused end
    redis.call('HSET', ARGV[8] .. app .. ':' .. unfinished, 'failure', reason)
    table.insert(reply, tonumber(unfinished))
  end
end
redis.call('ZADD', UNFINISHED, number, number)
redis.call('ZADD', KEYS[12], 'NX', ms(now), app .. ' ' .. number)
redis.call('HSET', KEYS[11], content .. ' ' .. redis.call('HGET', key, 'origin'), number)
redis.call('HINCRBY', KEYS[9], 'created', 1)
redis.call('HINCRBY', KEYS[9], 'wave_created', 1)
-- should its build fail, too, that says nothing about the base image
if redis.call('HGET', ARGV[8] .. app .. ':' .. older, 'state') == 'build_failed' then
  redis.call('HSET', key, 'failed_before', 1)
end
index_dependent(app, APP, ARGV[8] .. app .. ':', ARGV[11], KEYS[15])
reply[5] = math.max(0, ARGV[6] - redis.call('ZCARD', KEYS[13]))
return reply
